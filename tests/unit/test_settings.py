from __future__ import annotations

import pytest

from puncta.settings import Settings, load_settings, save_settings, settings_file


def test_what_is_saved_comes_back():
    settings = Settings(theme="light", font_scale=1.5, recent=["a.mp4"])
    save_settings(settings)
    assert load_settings() == (settings, [])
    assert [p.name for p in settings_file().parent.iterdir()] == ["settings.toml"]


def test_a_first_start_has_defaults_and_no_warning():
    assert load_settings() == (Settings(), [])


def test_a_bad_key_costs_that_key_alone_and_warns():
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text('theme = "pink"\nfont_scale = 1.25\nunknown = 3\n[view]\ngain = 99.0\ngamma = 1.5\n')
    settings, warnings = load_settings()
    assert settings.theme == "dark" and settings.font_scale == 1.25
    assert settings.view.gamma == 1.5 and settings.view.gain == 1.0
    assert len(warnings) == 2 and "theme" in warnings[0]


def test_a_broken_file_is_set_aside_not_lost():
    settings_file().parent.mkdir(parents=True, exist_ok=True)
    settings_file().write_text("theme = [")
    settings, warnings = load_settings()
    assert settings == Settings() and len(warnings) == 1
    assert settings_file().with_suffix(".broken.toml").read_text() == "theme = ["


def test_a_failed_save_leaves_no_part_behind(tmp_path):
    target = tmp_path / "settings.toml"
    target.mkdir()
    with pytest.raises(OSError):
        save_settings(Settings(), target)
    assert [p.name for p in tmp_path.iterdir()] == ["settings.toml"]
