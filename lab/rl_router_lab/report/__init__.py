"""Makes one HTML page that shows what routing with an artefact would change, and how sure that is."""
