"""The farm at a glance: what is shown to whom, when it has changed, and how many machines need somebody."""
