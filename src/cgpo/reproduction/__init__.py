"""The paper's comparisons in miniature: which runs they take, what came of them, and the document that says so."""
