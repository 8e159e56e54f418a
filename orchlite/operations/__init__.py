"""What is done with one open store: straight-line functions, one transaction each, without threads of their own."""
