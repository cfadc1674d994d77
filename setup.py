"""Builds the C core and its Cython module as one extension, fastnn.native, for every CPython >= 3.11 (abi3).

Where it cannot be built (no compiler, say) the install goes on without it, and fastnn runs on its NumPy reference;
FASTNN_REQUIRE_NATIVE=1 makes that an error. CPU targets are set inside csrc/targets/*.c, so no flag here names one."""
import os
import sysconfig
from glob import glob

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

LIMITED_API = "0x030B0000"
free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))  # has no stable ABI
required = os.environ.get("FASTNN_REQUIRE_NATIVE") == "1"

native = Extension(
    "fastnn.native",
    ["fastnn/native.pyx", *sorted(glob("csrc/**/*.c", recursive=True))],
    include_dirs=["csrc"],
    depends=sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.def", recursive=True)),
    define_macros=[] if free_threaded else [("Py_LIMITED_API", LIMITED_API)],
    py_limited_api=not free_threaded,
    extra_compile_args=["-O3", "-std=gnu11", "-ffp-contract=off", "-fvisibility=hidden", "-pthread"],
    extra_link_args=["-s", "-pthread"],
    optional=not required,
)


class Wheel(bdist_wheel):
    """A wheel without the extension is everyone's."""

    def get_tag(self):
        built = glob(os.path.join(self.bdist_dir, "fastnn", "native.*"))
        if not built:
            return "py3", "none", "any"
        return super().get_tag()


setup(
    ext_modules=[native],
    cmdclass={"bdist_wheel": Wheel},
    options={
        "build_ext": {"cython_c_in_temp": True},  # the translated .pyx goes under build/, not beside it
        "bdist_wheel": {} if free_threaded else {"py_limited_api": "cp311"},
    },
)
