"""The drill's own workspace: what is in it was staged, and none of it reaches a customer."""

WORKSPACE = "drill"
