"""The built-in suite: the paper's five tasks in miniature, generated from a small grammar; nothing is downloaded."""
