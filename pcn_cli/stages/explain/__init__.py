"""The stage of explanation: checks of the maps, overlays and charts."""
