"""The errors, and the check of optional packages."""

import pytest

from bisenet_plugins import errors


@pytest.mark.parametrize('name', [name for name in errors.__all__ if name.endswith('Error')])
def test_every_error_ends_a_command_with_a_status_of_its_own(name):
    error = getattr(errors, name)
    assert issubclass(error, errors.BisenetError)
    assert 1 <= error.exit_code <= 125 or error is errors.TerminatedError and error.exit_code == 128 + 15


@pytest.mark.parametrize('error, builtin', [(errors.ConfigError, ValueError), (errors.InputError, ValueError),
                                            (errors.CheckpointError, RuntimeError), (errors.DeployError, RuntimeError),
                                            (errors.MissingPackageError, ImportError)])
def test_an_error_is_the_built_in_error_that_a_caller_expects(error, builtin):
    assert issubclass(error, builtin)


def test_require_names_the_package_its_extra_and_the_line_that_installs_it(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(errors.MissingPackageError, match=r"^openvino is not installed; it comes with the extra "
                                                         r"'openvino': pip install 'bisenet-plugins\[openvino\]'$"):
        errors.require('openvino')
    with pytest.raises(errors.MissingPackageError, match='^pandas is not installed: pip install pandas$'):
        errors.require('pandas')


def test_require_is_silent_where_every_package_is_installed():
    errors.require('json', 'importlib')


def test_expect_names_the_argument_what_was_expected_and_what_came():
    errors.expect(True, 'depth', 'a positive number', 0)
    with pytest.raises(errors.InputError, match="^depth: expected a positive number, got '0'$"):
        errors.expect(False, 'depth', 'a positive number', '0')
