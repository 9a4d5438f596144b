//! Says how an extension module is linked: on macOS Python's symbols are left for Python to bring.

fn main() {
    pyo3_build_config::add_extension_module_link_args();
}
