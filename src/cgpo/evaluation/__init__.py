"""What policies are worth on held-out prompts: responses drawn, judged and counted, with intervals, side by side."""
