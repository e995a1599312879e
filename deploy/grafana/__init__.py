"""What Grafana shows of Spendgate: dashboards as code, rendered to the JSON that Grafana provisions."""
