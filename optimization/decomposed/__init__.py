"""Large portfolios by price: each store answers prices alone, a small model finds them."""
