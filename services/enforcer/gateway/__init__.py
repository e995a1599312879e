"""Gateways that ask before they let a request through: Envoy over HTTP and gRPC, and nginx."""
