package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"time"
)

// object is a frame to the server.
type object map[string]any

// frame is what comes from it: the fields that are looked at here, of whatever type it is.
type frame struct {
	Type, Ref, Message, Reason, Node, User string

	Code         any     // A word in `error`, a number in `closing`.
	HeartbeatMS  float64 `json:"heartbeat_ms"`
	RetryAfterMS float64 `json:"retry_after_ms"`
	Limits       struct {
		IDTTLMS float64 `json:"id_ttl_ms"`
	}

	Recovered bool
	Epoch     string
	Seq       *uint64
	From      string
	Data      json.RawMessage
	Deleted   bool
}

// position is a place in the room's log.
type position struct {
	Epoch string `json:"epoch"`
	Seq   uint64 `json:"seq"`
}

// message is one that goes out. Its id makes it the same message to the server, however often it arrives.
type message struct {
	id, text string
	first    time.Time
}

// text is what a message says; other clients may have put something else into it.
func (f frame) text() string {
	var data struct{ Text *string }
	if json.Unmarshal(f.Data, &data) == nil && data.Text != nil {
		return *data.Text
	}
	return string(f.Data)
}

func newID() string {
	bytes := make([]byte, 16)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return hex.EncodeToString(bytes)
}

func milliseconds(count float64) time.Duration {
	return time.Duration(count * float64(time.Millisecond))
}
