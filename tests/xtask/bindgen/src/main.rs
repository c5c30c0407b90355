//! `bindgen kotlin|swift LIBRARY CRATE OUT`: writes the foreign half of CRATE from its built LIBRARY's own metadata.
//!
//! The uniffi-bindgen of this workspace, so that generator and library are always of one version. A package of its own
//! because it takes longer to compile than the rest of xtask, and only the bindings need it.

use std::{env, error::Error, process::ExitCode};

use camino::Utf8PathBuf;
use uniffi_bindgen::{
    BindgenPaths, BindgenPathsLayer,
    bindings::{GenerateOptions, TargetLanguage, generate_with_bindgen_paths},
};

/// The directory whose `uniffi.toml` holds the names. Asking cargo where the crate lies would be another dependency.
struct OneCrate(Utf8PathBuf);

impl BindgenPathsLayer for OneCrate {
    fn get_crate_root(&self, _: &str) -> Option<Utf8PathBuf> {
        Some(self.0.clone())
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [language, library, root, out] = arguments.as_slice() else {
        return Err("bindgen kotlin|swift LIBRARY CRATE OUT".into());
    };
    let language = match language.as_str() {
        "kotlin" => TargetLanguage::Kotlin,
        "swift" => TargetLanguage::Swift,
        other => return Err(format!("{other} is neither kotlin nor swift").into()),
    };
    let mut paths = BindgenPaths::default();
    paths.add_layer(OneCrate(root.into()));
    let options = GenerateOptions {
        languages: vec![language],
        source: library.into(),
        out_dir: out.into(),
        ..GenerateOptions::default()
    };
    Ok(generate_with_bindgen_paths(options, paths)?)
}
