"""The stage of explanation: checks of the maps, and overlays."""
