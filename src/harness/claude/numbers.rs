//! Numbers for ids, in the order in which they come.

use hashbrown::HashTable;

/// A digest of an id: half the memory of a UUID, and two that are the same are not to be expected.
pub type Digest = u64;

/// Gives each digest a number. Thirteen bytes for each: a transcript of gigabytes has a million.
#[derive(Debug, Default)]
pub struct Numbers {
    digests: Vec<Digest>,
    places: HashTable<u32>,
}

impl Numbers {
    /// The number of a digest; `None`: it has none yet.
    pub fn find(&self, digest: Digest) -> Option<u32> {
        self.places.find(digest, |place| self.digests[*place as usize] == digest).copied()
    }

    /// Gives a digest that has none the next number.
    pub fn add(&mut self, digest: Digest) -> u32 {
        let next = u32::try_from(self.digests.len()).unwrap_or(u32::MAX);
        self.digests.push(digest);
        // A digest is its own hash.
        self.places.insert_unique(digest, next, |place| self.digests[*place as usize]);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_digest_has_the_number_of_its_turn() {
        let mut numbers = Numbers::default();
        let digest = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..10_000 {
            assert_eq!(numbers.find(digest(n)), None);
            assert_eq!(u64::from(numbers.add(digest(n))), n);
        }
        assert!((0..10_000).all(|n| numbers.find(digest(n)).map(u64::from) == Some(n)));
    }
}
