"""Errors have three parts, on the screen too."""

import pytest

from keras_pose.errors import PoseError, command_line


def test_three_parts():
    error = PoseError("a horse", "a cow", "Go to the stable.")
    assert str(error) == "Expected a horse. Received a cow. Go to the stable."
    assert isinstance(error, ValueError)


def test_scripts_print_them_and_exit_with_two(capsys):
    @command_line
    def main():
        raise PoseError("a horse", "a cow", "Go to the stable.")

    with pytest.raises(SystemExit) as stop:
        main()
    lines = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2
    assert [line.split()[-1] for line in lines] == ["horse", "cow", "stable."]


def test_ctrl_c_is_no_traceback(capsys):
    @command_line
    def main():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 130 and capsys.readouterr().err.strip() == "interrupted"


def test_other_errors_pass_through():
    @command_line
    def main():
        raise KeyError("bug")

    with pytest.raises(KeyError):
        main()
