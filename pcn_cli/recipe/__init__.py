"""What is wanted: the recipe, its defaults, its reader and the choices made where it says nothing."""
