"""What Prometheus, Alertmanager and Grafana are given: rules, inhibition, dashboards."""
