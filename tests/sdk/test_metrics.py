"""Figures for whoever collects them, at an address of their own."""

import re
import urllib.request

from conftest import new_platform, with_profiles


def scrape(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        return answer.read().decode()


def test_metrics_are_served_where_they_were_asked_for(tmp_path):
    platform = new_platform(tmp_path)
    platform.options = ["--metrics-listen", "127.0.0.1:0"]
    platform.start()
    try:
        url = platform.wait_for(
            lambda: (found := re.search(r"http://127\.0\.0\.1:\d+/metrics", platform.log())) and found.group(0),
            "the address of the metrics",
        )
        with_profiles(platform)
        text = platform.wait_for(
            lambda: 'palisade_runners{state="connected"} 1' in (text := scrape(url)) and text, "a runner",
        )
        assert "palisade_ready 1" in text and text.endswith("# EOF\n"), text
        assert re.search(r'^palisade_sandboxes\{organization="\w+",runner="[0-9a-f-]+"\} 0$', text, re.MULTILINE), text
        # Profiles of which nothing was heard have no series.
        assert "palisade_denied" not in text, text
        assert re.search(r"^process_resident_memory_bytes [1-9]\d+$", text, re.MULTILINE), text
    finally:
        assert platform.stop() == 0, platform.log()[-4000:]
