"""The gateways' client against enforcers that behave as no good one would."""
