// A chat on the centrifuge library, the core of Centrifugo: its JSON protocol, its hub, its Redis broker, history on unless HISTORY=off.
// PORT says where; REDIS_ADDRESS (host:port) makes it a node of a cluster, without it is one node in memory. SECRET
// is the key of the tokens (HS256), as Centrifugo checks them.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

func main() {
	node, err := centrifuge.New(centrifuge.Config{
		LogLevel: centrifuge.LogLevelError,
		LogHandler: func(entry centrifuge.LogEntry) {
			log.Println(entry.Message, entry.Fields)
		},
		// As Chorus lets a client send as fast as the load asks for.
		ClientQueueMaxSize: 1 << 20,
	})
	check(err)

	if address := os.Getenv("REDIS_ADDRESS"); address != "" {
		shard, err := centrifuge.NewRedisShard(node, centrifuge.RedisShardConfig{Address: address})
		check(err)
		broker, err := centrifuge.NewRedisBroker(node, centrifuge.RedisBrokerConfig{
			Shards: []*centrifuge.RedisShard{shard},
		})
		check(err)
		node.SetBroker(broker)
	}

	// The history that a room of Chorus has by default, or none.
	history := []centrifuge.PublishOption{centrifuge.WithHistory(1000, 24*time.Hour)}
	if os.Getenv("HISTORY") == "off" {
		history = nil
	}

	secret := []byte(os.Getenv("SECRET"))
	node.OnConnecting(func(_ context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		user, err := subject(event.Token, secret)
		if err != nil {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{UserID: user}}, nil
	})
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			recovers := history != nil
			options := centrifuge.SubscribeOptions{EnableRecovery: recovers, EnablePositioning: recovers}
			reply(centrifuge.SubscribeReply{Options: options}, nil)
		})
		client.OnPublish(func(event centrifuge.PublishEvent, reply centrifuge.PublishCallback) {
			result, err := node.Publish(event.Channel, event.Data, history...)
			reply(centrifuge.PublishReply{Result: &result}, err)
		})
	})
	check(node.Run())

	handler := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{})
	http.Handle("/connection/websocket", handler)
	go func() {
		time.Sleep(100 * time.Millisecond)
		fmt.Println("ready")
	}()
	check(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

// The `sub` of a token whose signature and expiry are good.
func subject(token string, secret []byte) (string, error) {
	signed, signature, found := cut(token)
	if !found {
		return "", errors.New("not a token")
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(mac.Sum(nil), given) {
		return "", errors.New("not our signature")
	}
	_, body, _ := strings.Cut(signed, ".")
	text, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return "", err
	}
	var claims struct {
		Sub string `json:"sub"`
		Exp int64  `json:"exp"`
	}
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", err
	}
	if time.Now().Unix() > claims.Exp {
		return "", errors.New("expired")
	}
	return claims.Sub, nil
}

func cut(token string) (signed, signature string, found bool) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return "", "", false
	}
	return token[:at], token[at+1:], true
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
