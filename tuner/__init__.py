"""The method and the machinery: stages, runners, the pipeline and the command line."""
