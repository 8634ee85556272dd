//! Compares the books: what was accepted, what arrived, what the server says of the rest.

use crate::receiver::{Behaviour, Bits};
use crate::stage::setup::Told;

/// One endpoint on both sides.
pub(super) struct Sides<'a> {
    /// Its number, to name it.
    pub(super) endpoint: usize,
    /// How it behaves.
    pub(super) behaviour: Behaviour,
    /// The events of its tenant that were accepted.
    pub(super) accepted: &'a Bits,
    /// The events that arrived, well signed.
    pub(super) arrived: &'a Bits,
    /// What the server says.
    pub(super) told: Told,
}

/// Where every delivery that was due has gone.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct Proof {
    /// Accepted events times the endpoints of their tenant.
    pub(super) due: u64,
    /// Different (event, endpoint) pairs that arrived well signed at an endpoint that took them.
    pub(super) delivered: u64,
    /// Given up by the server after the last retry, kept, can be resent.
    pub(super) dead: u64,
    /// Waiting for another attempt.
    pub(super) pending: u64,
    /// What nobody accounts for.
    pub(super) lost: u64,
    /// Where the two sides do not agree.
    pub(super) disagreements: Vec<String>,
}

impl Proof {
    /// Adds one endpoint.
    pub(super) fn add(&mut self, sides: &Sides<'_>) {
        let due = sides.accepted.count();
        // What arrived at an endpoint that fails or hangs was not taken: it stays due.
        let delivered =
            if sides.behaviour.is_alive() { sides.accepted.count_common(sides.arrived) } else { 0 };
        let Told { success, pending, sending, fail } = sides.told;
        // The server's word covers at most what did not arrive: an excess must not hide a loss
        // elsewhere.
        let missing = due - delivered;
        let dead = fail.min(missing);
        let pending_or_sending = (pending + sending).min(missing - dead);
        self.due += due;
        self.delivered += delivered;
        self.dead += dead;
        self.pending += pending_or_sending;
        self.lost += missing - dead - pending_or_sending;
        if success != delivered || delivered + fail + pending + sending != due {
            self.disagreements.push(format!(
                "endpoint {}: {due} due, {delivered} arrived; the server says {success} taken, {pending} \
                 pending, {sending} being sent, {fail} dead",
                sides.endpoint
            ));
        }
        let never_accepted = sides.arrived.count() - sides.accepted.count_common(sides.arrived);
        if never_accepted > 0 {
            self.disagreements.push(format!(
                "endpoint {}: {never_accepted} events arrived that were never answered with 202",
                sides.endpoint
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(numbers: impl IntoIterator<Item = usize>) -> Bits {
        let mut bits = Bits::new(100);
        for number in numbers {
            bits.insert(number);
        }
        bits
    }

    fn proof(behaviour: Behaviour, accepted: &Bits, arrived: &Bits, told: Told) -> Proof {
        let mut proof = Proof::default();
        proof.add(&Sides { endpoint: 3, behaviour, accepted, arrived, told });
        proof
    }

    #[test]
    fn all_that_arrived_needs_no_word_of_the_server_but_it_must_agree() {
        let all = bits(0..10);
        let agreed = proof(Behaviour::Healthy, &all, &all, Told { success: 10, ..Told::default() });
        let expected = Proof { due: 10, delivered: 10, ..Proof::default() };
        assert_eq!(agreed, expected);
        let silent = proof(Behaviour::Healthy, &all, &all, Told::default());
        assert_eq!((silent.lost, silent.disagreements.len()), (0, 1));
    }

    #[test]
    fn what_did_not_arrive_is_dead_pending_or_lost() {
        let told = Told { success: 5, fail: 2, pending: 1, sending: 1 };
        let proof = proof(Behaviour::Healthy, &bits(0..10), &bits(0..5), told);
        assert_eq!((proof.due, proof.delivered, proof.dead, proof.pending, proof.lost), (10, 5, 2, 2, 1));
        assert_eq!(proof.disagreements.len(), 1, "{:?}", proof.disagreements);
    }

    #[test]
    fn what_arrived_at_a_failing_endpoint_was_not_taken() {
        let all = bits(0..10);
        let proof = proof(Behaviour::Fails, &all, &all, Told { fail: 10, ..Told::default() });
        assert_eq!(proof, Proof { due: 10, dead: 10, ..Proof::default() });
    }

    #[test]
    fn an_excess_at_one_endpoint_hides_no_loss_at_another() {
        let mut sum = Proof::default();
        let (accepted, none) = (bits(0..10), bits([]));
        let excess = Told { fail: 30, ..Told::default() };
        for (endpoint, told) in [(0, excess), (1, Told::default())] {
            let behaviour = Behaviour::Refuses;
            sum.add(&Sides { endpoint, behaviour, accepted: &accepted, arrived: &none, told });
        }
        assert_eq!((sum.due, sum.dead, sum.lost), (20, 10, 10));
        assert_eq!(sum.disagreements.len(), 2);
    }

    #[test]
    fn arrivals_that_were_never_accepted_do_not_make_up_for_a_loss() {
        let told = Told { success: 9, ..Told::default() };
        let proof = proof(Behaviour::Healthy, &bits(0..10), &bits(1..12), told);
        assert_eq!((proof.delivered, proof.lost), (9, 1));
        assert_eq!(proof.disagreements.len(), 2, "{:?}", proof.disagreements);
    }
}
