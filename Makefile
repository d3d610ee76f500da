.DEFAULT_GOAL := help
help:
	@echo "being built"
