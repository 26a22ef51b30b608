// A chat in a terminal, on gorilla/websocket: a line typed goes to the room, what is said there is printed, and nothing is
// lost or doubled when the network, a server or this client's patience fails.
//
//	CHORUS_TOKEN=… go run . [room] [url]
package main

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/gorilla/websocket"
)

// final are the close codes after which coming back would end the same way. 4401 (expired) is among them, as the token
// stays what it is.
var final = []int{1000, 1002, 1003, 1007, 1008, 1009, 4401}

// jitter needs a seed of its own before Go 1.20.
var jitter = rand.New(rand.NewSource(time.Now().UnixNano()))

// gaveUp says why there is no point in trying again.
type gaveUp struct{ error }

type chat struct {
	url, token, room string
	typed            <-chan string // Closed at the end of the input.
	conn             *websocket.Conn
	joined           bool
	at               *position     // Of the last event that was seen: a new connection goes on from there.
	sending          *message      // The one that is under way.
	idTTL            time.Duration // How long the server knows an id again.
	again            <-chan time.Time
	retryAfter       time.Duration // What the server asked for.
	attempt          int
}

// stay connects again and again, until the input ends or the server says not to come back.
func (c *chat) stay() error {
	for {
		err := c.connect()
		if err == nil || errors.As(err, &gaveUp{}) || websocket.IsCloseError(err, final...) {
			return err
		}
		// Full jitter: all clients of a lost server come back, but not all at once. Never before the server said.
		longest := 30 * time.Second
		if c.attempt < 6 {
			longest = 500 * time.Millisecond << c.attempt
		}
		delay := c.retryAfter + time.Duration(jitter.Int63n(int64(longest)))
		c.attempt, c.retryAfter = c.attempt+1, 0
		note("%v; reconnecting in %.1f s", err, delay.Seconds())
		time.Sleep(delay)
	}
}

// connect stays until the connection ends, or the input does. Only this goroutine writes, and owns what is in c.
func (c *chat) connect() error {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Subprotocols: []string{"chorus.v1"}}
	conn, _, err := dialer.Dial(c.url, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	c.conn, c.joined = conn, false
	frames, ended, left := make(chan frame), make(chan error, 1), make(chan struct{})
	defer close(left)
	go func() { ended <- listen(conn, frames, left) }()

	c.say(object{"type": "auth", "token": c.token})
	for {
		typed := c.typed
		if c.sending != nil {
			typed = nil // One at a time keeps them in order, and within the server's limits.
		}
		select {
		case frame := <-frames:
			if err := c.receive(frame); err != nil {
				return err
			}
		case err := <-ended:
			return err
		case <-c.again:
			c.deliver()
		case text, more := <-typed:
			if !more {
				bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
				return conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second))
			}
			c.sending = &message{id: newID(), text: text}
			c.deliver()
		}
	}
}

// listen hands on what comes, until the connection ends.
func listen(conn *websocket.Conn, frames chan<- frame, left <-chan struct{}) error {
	// The server pings. When two of its pings are missing, nobody is there any more, whatever TCP believes.
	patience := 15 * time.Second // Until the server tells its own.
	alive := func() { conn.SetReadDeadline(time.Now().Add(patience)) }
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		alive()
		return pong(data)
	})
	for {
		alive()
		var next frame
		if err := conn.ReadJSON(&next); err != nil {
			return err
		}
		if next.Type == "welcome" {
			patience = milliseconds(2.5 * next.HeartbeatMS)
		}
		select {
		case frames <- next:
		case <-left:
			return nil
		}
	}
}

func (c *chat) receive(f frame) error {
	switch f.Type {
	case "welcome":
		c.idTTL = milliseconds(f.Limits.IDTTLMS)
		note("connected to %s as %s", f.Node, f.User)
		join := object{"type": "join", "room": c.room, "recent": 50, "ref": "join"}
		if c.at != nil { // Until then the last 50 are what begins.
			join["since"] = c.at
		}
		c.say(join)
		return nil
	case "ok":
		if f.Ref == "join" {
			c.entered(f)
		} else {
			c.settle(f.Ref, "")
		}
		return nil
	case "error":
		return c.refused(f)
	case "closing":
		c.retryAfter = milliseconds(f.RetryAfterMS)
		if f.Message != "" {
			note("%s", f.Message)
		}
		return nil
	case "reset":
		note("the log goes on elsewhere (%s): something before this line may be missing", f.Reason)
	case "message":
		if !f.Deleted {
			fmt.Println(printable(f.From + ": " + f.text()))
		}
	}
	// Edits, reactions and types yet unknown move the position, too: whatever has a seq and is no answer.
	if f.Epoch != "" && f.Seq != nil {
		c.at = &position{f.Epoch, *f.Seq}
	}
	return nil
}

func (c *chat) entered(ok frame) {
	if c.at != nil && !ok.Recovered {
		note("away for too long: something before this line may be missing")
	}
	c.at = &position{ok.Epoch, *ok.Seq}
	c.joined, c.attempt = true, 0
	c.deliver()
}

// deliver sends what is not acknowledged: the same id again is the same message, however often it arrives.
func (c *chat) deliver() {
	c.again = nil
	if c.sending == nil || !c.joined {
		return
	}
	if c.sending.first.IsZero() {
		c.sending.first = time.Now()
	}
	if time.Since(c.sending.first) > c.idTTL {
		c.settle(c.sending.id, "not known whether it was sent")
		return
	}
	id, data := c.sending.id, object{"text": c.sending.text}
	c.say(object{"type": "message", "room": c.room, "id": id, "data": data, "ref": id})
}

func (c *chat) refused(f frame) error {
	passing := f.Code == "unavailable" || f.Code == "rate_limited"
	switch {
	case c.sending != nil && f.Ref == c.sending.id && passing:
		c.again = time.After(milliseconds(f.RetryAfterMS) + 100*time.Millisecond)
	case c.sending != nil && f.Ref == c.sending.id:
		c.settle(f.Ref, fmt.Sprintf("not sent, %v: %s", f.Code, f.Message))
	case f.Ref == "join" && (passing || f.RetryAfterMS > 0):
		c.retryAfter = milliseconds(f.RetryAfterMS)
		return fmt.Errorf("%v: %s", f.Code, f.Message) // And again.
	default:
		return gaveUp{fmt.Errorf("%v: %s", f.Code, f.Message)} // The room is not for this user, or no more.
	}
	return nil
}

func (c *chat) settle(id, trouble string) {
	if c.sending == nil || id != c.sending.id {
		return
	}
	if trouble != "" {
		note("%s: %s", trouble, c.sending.text)
	}
	c.sending = nil
}

// say does not tell of a failure: whoever listens finds out, too, and comes back.
func (c *chat) say(frame object) {
	c.conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_ = c.conn.WriteJSON(frame)
}

// note tells the user, and leaves stdout to what is said in the room.
func note(format string, values ...any) {
	fmt.Fprintln(os.Stderr, "*", printable(fmt.Sprintf(format, values...)))
}

// printable keeps what others wrote from steering a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func main() {
	token := os.Getenv("CHORUS_TOKEN")
	if token == "" {
		note("set CHORUS_TOKEN; README.md says where a token comes from")
		os.Exit(1)
	}
	typed := make(chan string)
	go func() {
		defer close(typed)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if text := strings.TrimSpace(lines.Text()); text != "" {
				typed <- text
			}
		}
	}()
	room, url := argument(1, "lobby"), argument(2, "ws://127.0.0.1:8080/ws")
	c := &chat{url: url, token: token, room: room, typed: typed}
	if err := c.stay(); err != nil {
		note("%v", err)
		os.Exit(1)
	}
}

func argument(index int, otherwise string) string {
	if index < len(os.Args) {
		return os.Args[index]
	}
	return otherwise
}
