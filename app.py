"""Entry of the dashboard: `streamlit run app.py`."""

from pages._ui import frame

frame.open_house().run()
