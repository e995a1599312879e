"""Apache Kafka on this machine: its jars, a Java to run them, and one KRaft broker."""
