//! The members of a room, in segments: a join or a leave touches one segment, and a flush walks over snapshots
//! without holding any lock.

use std::sync::Arc;

use parking_lot::Mutex;

/// The most members in a segment: what a join may have to copy while a flush looks on.
const SEGMENT: usize = 256;

/// One segment: its members behind a small lock of its own.
pub struct Segment<M> {
    members: Mutex<Arc<Vec<Arc<M>>>>,
}

/// All segments of a room.
pub struct Members<M> {
    segments: Mutex<Arc<Vec<Arc<Segment<M>>>>>,
}

impl<M> Default for Members<M> {
    fn default() -> Self {
        Self { segments: Mutex::default() }
    }
}

impl<M> Default for Segment<M> {
    fn default() -> Self {
        Self { members: Mutex::default() }
    }
}

impl<M> Members<M> {
    /// Adds a member and says in which segment it sits.
    pub fn insert(&self, member: &Arc<M>) -> Arc<Segment<M>> {
        let mut segments = self.segments.lock();
        if let Some(segment) = segments.iter().find(|segment| segment.insert(member)) {
            return Arc::clone(segment);
        }
        let segment = Arc::new(Segment { members: Mutex::new(Arc::new(vec![Arc::clone(member)])) });
        Arc::make_mut(&mut segments).push(Arc::clone(&segment));
        segment
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.segments().iter().map(|segment| segment.members.lock().len()).sum()
    }

    /// The segments as they are now.
    pub fn segments(&self) -> Arc<Vec<Arc<Segment<M>>>> {
        Arc::clone(&self.segments.lock())
    }
}

impl<M> Segment<M> {
    /// Whether there was a place.
    fn insert(&self, member: &Arc<M>) -> bool {
        let mut members = self.members.lock();
        let free = members.len() < SEGMENT;
        if free {
            Arc::make_mut(&mut members).push(Arc::clone(member));
        }
        free
    }

    /// Takes a member out.
    pub fn remove(&self, member: &Arc<M>) {
        let mut members = self.members.lock();
        if let Some(index) = members.iter().position(|other| Arc::ptr_eq(other, member)) {
            Arc::make_mut(&mut members).swap_remove(index);
        }
    }

    /// The members as they are now.
    pub fn members(&self) -> Arc<Vec<Arc<M>>> {
        Arc::clone(&self.members.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_fill_up_and_places_are_used_again() {
        let members = Members::default();
        let all: Vec<_> = (0..600).map(Arc::new).collect();
        let seats: Vec<_> = all.iter().map(|member| members.insert(member)).collect();
        assert_eq!(members.segments().len(), 3);
        let before = seats[0].members();
        seats[0].remove(&all[0]);
        assert_eq!(before.len(), SEGMENT, "a snapshot stays as it was");
        assert_eq!(seats[0].members().len(), SEGMENT - 1);
        assert!(Arc::ptr_eq(&members.insert(&all[0]), &seats[0]));
        assert_eq!(members.count(), 600);
    }
}
