/* Atomic commit as communicating processes: one coordinator, the anchor, two participants.
 *
 *   READY -> VOTED -> COMMITTED | ABORTED
 *
 * Processes share nothing but channels. Messages are lost, repeated and received in any order; leaders of the anchor and of
 * a participant change (what they had not logged is gone); the coordinator dies. `outcome` is what each shard has logged: only
 * the monitor and the properties look at it.
 *
 *   spin -run -DSAFETY commit.pml       never one COMMITTED and another ABORTED, the client is told what happens
 *   spin -run -DLIVENESS -a -f ...      without loss, everybody ends (weak fairness)
 *
 * Seeded faults, each of which must be found: -DFAULT_IMPATIENT (a voter aborts by itself), -DFAULT_LAST_WINS (the last
 * decision stands), -DFAULT_FORGETFUL (the anchor answers questions without logging), -DFAULT_SILENT (voters never
 * ask). Run by txn/tests/spin.rs; docs/verification.md says what was seen.
 */

#define PARTICIPANTS 2
#define ANCHOR 2
#define ROOM 2

mtype = { PREPARE, YES, MARK, MARKED, DECIDE, IS_COMMITTED, IS_ABORTED, FINISH_COMMIT, FINISH_ABORT, ASK, ACKNOWLEDGE };
mtype = { NONE, READY, VOTED, DECIDING, COMMITTED, ABORTED, UNKNOWN, DEAD };

/* Which message, and from or to which participant. */
chan to_participant[PARTICIPANTS] = [ROOM] of { mtype };
chan to_anchor = [ROOM] of { mtype, byte };
chan to_coordinator = [ROOM] of { mtype, byte };

mtype outcome[PARTICIPANTS + 1] = NONE;
mtype told = NONE;
/* Leaders that may still change, coordinators that may still die. */
byte faults = 2;
/* Of the message being received: a step is atomic, so they are no state. */
hidden mtype message;
hidden byte from;

/* Channels are sets: what is on its way already is not sent again, and order does not matter, since any message may be
 * received next. Where there is no room the message is lost; whoever needs an answer sends again. */
#define SEND1(channel, a)       if :: len(channel) < ROOM && !(channel??[a]) -> channel!!a :: else fi
#define SEND2(channel, a, b)    if :: len(channel) < ROOM && !(channel??[a, b]) -> channel!!a, b :: else fi

/* What is sent again: at any time; where we ask whether everything ends, when nothing else can happen. */
#ifdef LIVENESS
#define AGAIN timeout
#else
#define AGAIN true
#endif

#define SOME(state) (outcome[0] == state || outcome[1] == state || outcome[ANCHOR] == state)

/* What is logged is logged once. */
inline log(who, what) {
  d_step {
    assert(outcome[who] == NONE || outcome[who] == what);
    outcome[who] = what;
    assert(!(SOME(COMMITTED) && SOME(ABORTED)))
  }
}

inline tell(what) {
  d_step {
    assert(told == NONE);
    told = what
  }
}

#define ASK_FOR_VOTES SEND1(to_participant[0], PREPARE); SEND1(to_participant[1], PREPARE); SEND2(to_anchor, MARK, 0)

active proctype coordinator() {
  bool has[PARTICIPANTS + 1];
  byte tries = 2;
  /* READY: ask for votes and the mark until all are there. */
  atomic { ASK_FOR_VOTES }
ready:
  do
#ifdef LIVENESS
  :: atomic { timeout && tries > 0 -> tries--; ASK_FOR_VOTES }
#else
  :: atomic { !has[0] -> SEND1(to_participant[0], PREPARE) }
  :: atomic { !has[1] -> SEND1(to_participant[1], PREPARE) }
  :: atomic { !has[ANCHOR] -> SEND2(to_anchor, MARK, 0) }
#endif
  :: atomic { to_coordinator??YES, from -> has[from] = true }
  :: atomic { to_coordinator??MARKED, from -> has[ANCHOR] = true }
  :: atomic { to_coordinator??IS_ABORTED, from -> goto aborted }
  :: atomic { has[0] && has[1] && has[ANCHOR] -> break }
  :: atomic { goto aborted                                   /* a deadline, a cancel, a vote against */ }
  :: atomic { faults > 0 -> faults--; goto dead }
#ifndef LIVENESS
  :: atomic { to_coordinator?message, from                    /* lost */ }
#endif
  od;
  /* VOTED: the timestamp is drawn, readers confirm or not. */
  if
  :: atomic { goto deciding }
  :: atomic { goto aborted }
  :: atomic { faults > 0 -> faults--; goto dead }
  fi;
deciding:
  SEND2(to_anchor, DECIDE, 0);
  do
  :: atomic { AGAIN -> SEND2(to_anchor, DECIDE, 0) }
  :: atomic { to_coordinator??IS_COMMITTED, from -> tell(COMMITTED); goto end }
  :: atomic { to_coordinator??IS_ABORTED, from -> tell(ABORTED); goto end }
  :: atomic { faults > 0 -> faults--; goto dead }
#ifndef LIVENESS
  :: atomic { to_coordinator?message, from                    /* lost */ }
#endif
  od;
aborted:
  tell(ABORTED);
  goto end;
dead:
  tell(DEAD);
end:
  /* Late answers are for nobody. */
end_sink:
  do
  :: atomic { to_coordinator?message, from }
  od
}

active proctype anchor() {
  mtype state = READY;
  bool acknowledged[PARTICIPANTS];
end_anchor:
  do
  :: atomic { to_anchor??MARK, from ->
     if
     :: state == READY || state == VOTED -> state = VOTED; SEND2(to_coordinator, MARKED, ANCHOR)
     :: else -> skip
     fi }
  :: atomic { to_anchor??DECIDE, from ->
     if
#ifdef FAULT_LAST_WINS
     :: state == READY || state == UNKNOWN || state == ABORTED -> state = COMMITTED; outcome[ANCHOR] = COMMITTED
#else
     :: state == READY || state == UNKNOWN -> state = ABORTED; log(ANCHOR, ABORTED)
#endif
     :: state == VOTED -> state = COMMITTED; log(ANCHOR, COMMITTED)
     :: else -> skip
     fi;
     if
     :: state == COMMITTED -> SEND2(to_coordinator, IS_COMMITTED, 0)
     :: else -> SEND2(to_coordinator, IS_ABORTED, 0)
     fi }
  :: atomic { to_anchor??ASK, from ->
     if
#ifdef FAULT_FORGETFUL
     :: state == READY || state == VOTED || state == UNKNOWN -> SEND1(to_participant[from], FINISH_ABORT)
#else
     :: state == READY || state == VOTED || state == UNKNOWN -> state = ABORTED; log(ANCHOR, ABORTED)
#endif
     :: else -> skip
     fi;
     if
     :: state == COMMITTED -> SEND1(to_participant[from], FINISH_COMMIT)
     :: state == ABORTED -> SEND1(to_participant[from], FINISH_ABORT)
     :: else -> skip
     fi }
  :: atomic { to_anchor??ACKNOWLEDGE, from -> acknowledged[from] = true }
  :: atomic { AGAIN && state == COMMITTED && !acknowledged[0] && empty(to_participant[0]) -> SEND1(to_participant[0], FINISH_COMMIT) }
  :: atomic { AGAIN && state == COMMITTED && !acknowledged[1] && empty(to_participant[1]) -> SEND1(to_participant[1], FINISH_COMMIT) }
#ifndef LIVENESS
  :: atomic { to_anchor?message, from                         /* lost */ }
#endif
     /* Another leader: the mark and its locks are gone, a logged decision is not. */
  :: atomic { faults > 0 && (state == READY || state == VOTED) -> faults--; state = UNKNOWN }
     /* Nobody comes to decide. */
  :: atomic { (told == DEAD || told == ABORTED) && state == VOTED -> state = UNKNOWN }
  od
}

proctype participant(byte self) {
  mtype state = READY;
end_participant:
  do
  :: atomic { to_participant[self]??PREPARE ->
     if
     :: state == READY -> state = VOTED
     :: else -> skip
     fi;
     if
     :: state == VOTED -> SEND2(to_coordinator, YES, self)
     :: else -> skip
     fi }
  :: atomic { to_participant[self]??FINISH_COMMIT ->
     assert(state == VOTED || state == COMMITTED);
     state = COMMITTED;
     log(self, COMMITTED);
     SEND2(to_anchor, ACKNOWLEDGE, self) }
  :: atomic { to_participant[self]??FINISH_ABORT ->
     state = ABORTED;
     log(self, ABORTED);
     SEND2(to_anchor, ACKNOWLEDGE, self) }
#ifndef FAULT_SILENT
     /* It asks when it has waited long enough. */
  :: atomic { AGAIN && state == VOTED && empty(to_participant[self]) -> SEND2(to_anchor, ASK, self) }
#endif
#ifdef FAULT_IMPATIENT
  :: atomic { state == VOTED -> state = ABORTED; log(self, ABORTED) }
#endif
#ifndef LIVENESS
  :: atomic { to_participant[self]?message                    /* lost */ }
#endif
     /* Another leader before the vote is logged: the locks are gone, a Prepare finds none. */
  :: atomic { faults > 0 && state == READY -> faults--; state = ABORTED; log(self, ABORTED) }
     /* The coordinator is gone, or lets go. */
  :: atomic { state == READY && (told == DEAD || told == ABORTED) -> state = ABORTED; log(self, ABORTED) }
  od
}

init {
  atomic {
    run participant(0);
    run participant(1)
  }
}

/* Client and shards agree. */
#define is_lie ((told == COMMITTED && SOME(ABORTED)) || (told == ABORTED && SOME(COMMITTED)))
/* Who takes part with writes has ended. */
#define is_over (told != NONE && outcome[0] != NONE && outcome[1] != NONE)

#ifdef LIVENESS
ltl everything_ends { <> is_over }
#else
ltl nobody_lies { [] !is_lie }
#endif
