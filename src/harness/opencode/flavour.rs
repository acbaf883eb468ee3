//! What differs between opencode and the programs that are built on it.

use std::ops::RangeInclusive;

use crate::harness::Info;

/// One program of the family.
#[derive(Debug)]
pub struct Flavour {
    /// What is true of it on every machine.
    pub info: Info,
    /// Its directory below the XDG directories.
    pub directory: &'static str,
    /// Its database in the data directory.
    pub database: &'static str,
    /// What its variables begin with.
    pub variables: &'static str,
    /// Its configuration file, without extension.
    pub config: &'static str,
    /// The agent that it starts sessions with.
    pub agent: &'static str,
    /// The major versions whose sessions have the form that is read here.
    pub majors: RangeInclusive<u32>,
}

/// opencode, by Anomaly.
pub static OPENCODE: Flavour = Flavour {
    info: Info {
        id: "opencode",
        name: "opencode",
        program: "opencode",
        tested: "1.18.33",
        read: true,
        write: true,
        confirms: true,
        indexes: false,
    },
    directory: "opencode",
    database: "opencode.db",
    variables: "OPENCODE_",
    config: "opencode",
    agent: "build",
    majors: 0..=1,
};

/// Kilo, built on opencode.
pub static KILO: Flavour = Flavour {
    info: Info {
        id: "kilo",
        name: "Kilo CLI",
        program: "kilo",
        tested: "7.7.9",
        read: true,
        write: true,
        confirms: true,
        indexes: false,
    },
    directory: "kilo",
    database: "kilo.db",
    variables: "KILO_",
    config: "kilo",
    agent: "code",
    majors: 7..=7,
};
