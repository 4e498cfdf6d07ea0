//! How the program is linked: one copy of functions that are the same, and short notes of what moves at load. Both need
//! Rust's own linker, and the second a C library that knows them; where either is missing nothing is asked for.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTFLAGS");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    let is_native = env::var("TARGET").ok() == env::var("HOST").ok();
    if !is("PROFILE", "release") || !is("TARGET", "x86_64-unknown-linux-gnu") || !is_native || !has_own_linker() {
        return;
    }
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=safe");
    if c_library().is_some_and(|version| version >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether Rust's own linker links, as it does by default where it is there.
fn has_own_linker() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    if flags.contains("link-arg") || flags.contains("linker") || env::var_os("RUSTC_LINKER").is_some() {
        return false;
    }
    let sysroot = said(env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()), &["--print", "sysroot"]);
    sysroot.is_some_and(|root| Path::new(&root).join("lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld").is_file())
}

/// The version of the C library of this machine, which is the one that is linked.
fn c_library() -> Option<(u32, u32)> {
    let version = said("getconf", &["GNU_LIBC_VERSION"])?;
    let (major, minor) = version.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

fn said(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let out = Command::new(program).args(arguments).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
