"""The gRPC face: decode, call one verb, encode."""
