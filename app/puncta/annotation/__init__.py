"""Labels of people and proposals of models: values, gestures with their inverse, the store, agreement and exchange."""
