"""Small sabotages of the pipeline, each with the test that must notice it."""
