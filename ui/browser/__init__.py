"""The browser pages, in Streamlit; `cbir ui` serves them."""
