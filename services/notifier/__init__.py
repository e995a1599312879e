"""The notifier: tells people of alerts, once each, and the next ones when nobody answers."""
