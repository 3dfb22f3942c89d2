//! Numbers that look random and can be had again.
#![allow(
    clippy::disallowed_methods,
    reason = "the tests decide what they try by clock and environment"
)]

/// A generator (`SplitMix64`).
pub struct Random(u64);

impl Random {
    /// Begins with `PYOCI_SEED`, else with the clock, and says with which number.
    pub fn new() -> Self {
        let asked = std::env::var("PYOCI_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok());
        let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = asked.unwrap_or(u64::from(clock.unwrap().subsec_nanos()));
        println!("PYOCI_SEED={seed}");
        Self(seed)
    }

    /// A number below a limit.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % limit.max(1) as u64).unwrap()
    }

    /// Some of several things, in their order.
    pub fn some<T>(&mut self, count: usize, mut of: Vec<T>) -> Vec<T> {
        while of.len() > count {
            of.remove(self.below(of.len()));
        }
        of
    }
}

/// How much is tried: what a variable says, else a little.
pub fn amount(variable: &str, little: usize) -> usize {
    let asked = std::env::var(variable).ok();
    asked.map_or(little, |asked| match &*asked {
        "all" => usize::MAX,
        number => number.parse().unwrap(),
    })
}

/// Whether a command is to be tried: any, or those whose names have what `PYOCI_ONLY` says.
pub fn is_asked_for(name: &str) -> bool {
    std::env::var("PYOCI_ONLY").map_or(true, |part| name.contains(&part))
}

/// How many commands faults are tried with: a few, or all where `PYOCI_FAULTS` asks for more than a little.
pub fn few(few: usize) -> usize {
    if amount("PYOCI_FAULTS", 0) > 0 {
        usize::MAX
    } else {
        few
    }
}
