"""The dashboard: six pages in one navigation. Run with ``streamlit run streamlit_app.py`` or ``sequence dashboard``."""

import streamlit as st

st.set_page_config(page_title="Sequence FX", page_icon="pages/_shared/favicon.svg", layout="wide", initial_sidebar_state="expanded")

st.navigation(
    {
        "Sequence FX": [
            st.Page("pages/system_matrix.py", title="System Matrix", icon=":material/grid_view:", default=True),
            st.Page("pages/data_streams.py", title="Data Streams", icon=":material/waterfall_chart:"),
            st.Page("pages/neural_networks.py", title="Neural Networks", icon=":material/hub:"),
            st.Page("pages/fx_analytics.py", title="FX Analytics", icon=":material/candlestick_chart:"),
            st.Page("pages/research_lab.py", title="Research Lab", icon=":material/science:"),
            st.Page("pages/infrastructure.py", title="Infrastructure", icon=":material/dns:"),
        ]
    }
).run()
