"""Hand-mesh models in exchangeable parts: plain PyTorch, knows no names and no configs."""
