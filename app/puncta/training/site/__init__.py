"""Adapting finished networks to one site: little data, nothing forgotten, thresholds that still hold."""
