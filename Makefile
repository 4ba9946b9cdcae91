# Two commands that anybody can run from a clean clone; each sets up what is missing.
.PHONY: demo test

demo:
	@scripts/setup.sh
	@scripts/demo.sh

test:
	@scripts/setup.sh --test
	@scripts/test.sh
