"""What `/metrics` tells Prometheus: requests, counted by django-prometheus, and the farm, asked when it is read."""
