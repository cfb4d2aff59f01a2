package platform

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
)

// The generic scanner stands behind the rules of every platform and in front of
// all text of an unknown one. It knows words, not commands: what follows a word
// like "password" is masked unless it is plainly something else. It errs on the
// side of masking; what it must leave readable is in the test beside it.

// scannerWords are texts one of which is in every line that scanLine can find
// something in, in lower case.
var scannerWords = []string{
	"passw", "passphrase", "pass-phrase", "passcode", "pwd", "secret", "psk", "token", "credential", "community", "key", "cak",
	"snmp", " spi ", "bearer ", "basic ",
	"-----begin", "-----end", "://", "$1$", "$2", "$5$", "$6$", "$7$", "$8$", "$8a$", "$9$", "$y$", "$gy$", "$sha", "$pbkdf2", "$apr1$", "$argon2", "$scrypt",
}

var (
	pemBegin = regexp.MustCompile(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----`)
	pemEnd   = regexp.MustCompile(`-----END [A-Z0-9 ]*PRIVATE KEY-----`)
	// A password in a URL is percent-encoded, so it holds no /; an @ in it is
	// tolerated, since some devices do.
	urlPassword = regexp.MustCompile(`(?i)[a-z][a-z0-9+.\-]*://[^/\s:@"']*:([^\s"'/]+)@`)
	// Hashes of crypt(3) and its relatives, wherever they stand.
	cryptHash = regexp.MustCompile(`\$(?:1|2[abxy]?|5|6|7|8|8a|9|y|gy|sha\d+|apr1|pbkdf2[\w\-]*|argon2\w*|scrypt)\$[^\s"';:,<>(){}\[\]]{3,}`)
	// What a program is told to send along with a request.
	httpToken = regexp.MustCompile(`(?i)authorization["']?[:=] *["']?(?:bearer|basic) +([^\s"'\\,;]{6,})|\bbearer +([^\s"'\\,;]{20,})`)
)

// triggers are what the words hold that secretWord looks at, in lower case.
var triggers = [][]byte{
	[]byte("passw"), []byte("passphrase"), []byte("pass-phrase"), []byte("passcode"), []byte("pwd"), []byte("secret"), []byte("psk"),
	[]byte("token"), []byte("credential"), []byte("community"), []byte("key"), []byte("cak"),
}

// secretWords finds the words of a line that announce a secret, in order.
func secretWords(b []byte) [][2]int {
	lower := lowerASCII(b)
	isWord := func(c byte) bool {
		return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	var out [][2]int
	for _, t := range triggers {
		for at := 0; at < len(lower); {
			i := bytes.Index(lower[at:], t)
			if i < 0 {
				break
			}
			start, end := at+i, at+i+len(t)
			for start > at && isWord(lower[start-1]) {
				start--
			}
			for end < len(lower) && isWord(lower[end]) {
				end++
			}
			at = end
			if !bytes.HasSuffix(b[:start], []byte("‹")) && secretWord(lower, start, end) { // a token says "secret", too
				out = append(out, [2]int{start, end})
			}
		}
	}
	slices.SortFunc(out, func(a, b [2]int) int { return a[0] - b[0] })
	return slices.Compact(out)
}

// scanLine adds to all what the scanner finds in line i, and tells the last line
// that it touches. What the platform's rules found in this line is all[from:].
func scanLine(text []byte, lines []line, i int, all []find, from int) ([]find, int) {
	l := lines[i]
	b := l.of(text)
	last := i
	known := make([]int, 0, len(all)-from) // where the rules' finds begin
	for _, f := range all[from:] {
		known = append(known, f.start-l.start)
	}
	slices.Sort(known)
	add := func(start, end int) {
		all = append(all, find{span: span{l.start + start, l.start + end}, class: classPlaintext})
	}

	if bytes.Contains(b, []byte("-----BEGIN ")) {
		if m := pemBegin.FindIndex(b); m != nil {
			var key find
			key, last = pemAt(text, lines, i, l.start+m[1])
			all = append(all, key)
			b = b[:m[0]]
		}
	} else if m := pemEnd.FindIndex(b); m != nil && len(bytes.TrimSpace(b[:m[0]])) == 0 {
		// The key's first lines are not there, or this one would have gone with
		// them: a text may start in the middle.
		if f := pemBefore(text, lines, i, l.start+m[0]); f.end > f.start {
			all = append(all, f)
		}
	}
	if bytes.Contains(b, []byte("://")) {
		for _, m := range urlPassword.FindAllSubmatchIndex(b, -1) {
			add(m[2], m[3])
		}
	}
	if bytes.IndexByte(b, '$') >= 0 {
		for _, m := range cryptHash.FindAllIndex(b, -1) {
			add(m[0], m[1])
		}
	}
	lower := lowerASCII(b)
	if bytes.Contains(lower, []byte("bearer ")) || bytes.Contains(lower, []byte("basic ")) {
		for _, m := range httpToken.FindAllSubmatchIndex(b, -1) {
			for g := 2; g < len(m); g += 2 {
				if m[g] >= 0 {
					add(m[g], m[g+1])
				}
			}
		}
	}
	if bytes.Contains(lower, []byte("snmp")) {
		if bytes.Contains(lower, []byte("user")) {
			userKeys(b, add)
		}
		if m := trapCommunity.FindSubmatchIndex(b); m != nil && !bytes.Contains(lower, []byte("community")) && !noCommunity[string(lower[m[2]:m[3]])] {
			add(m[2], m[3])
		}
	}
	if bytes.Contains(lower, []byte(" spi ")) {
		associationKeys(b, add)
	}
	words := secretWords(b)
	for k, w := range words {
		until := len(b)
		if k+1 < len(words) {
			until = max(w[1], words[k+1][0])
		}
		if n, _ := slices.BinarySearch(known, w[1]); n < len(known) && known[n] <= until {
			continue // a rule knows what this word announces
		}
		if slices.ContainsFunc(all[from:], func(f find) bool { return f.start <= l.start+w[0] && l.start+w[1] <= f.end }) {
			continue // the word is part of a secret itself
		}
		if alreadyHidden.Match(b[w[1]:until]) {
			continue // and has hidden it before
		}
		if start, end, ok := valueAfter(b, w[0], w[1]); ok {
			add(start, end)
		}
	}
	return all, last
}

// Words of a line that sets up an SNMPv3 user: those behind which a key stands, and
// those that may come between.
var (
	snmpUser  = regexp.MustCompile(`(?i)\bsnmp.*[ \t\-]user[ \t]`)
	userKey   = regexp.MustCompile(`(?i)^(?:auth|authentication|priv|privacy)(?:-(?:mode|prot\w*|pass\w*|phrase|secret|hashed|encrypted|localized|key|md5|sha\d*|3?des|aes\d*))*$`)
	userForms = regexp.MustCompile(`(?i)^(?:(?:hmac-)?(?:md5|sha(?:2?-?\d{1,3}){0,2})|3?des-?(?:56|168)?|(?:cfb-?)?aes-?(?:cfb-?)?(?:128|192|256)?|128|168|192|256|hex|hash|cipher|simple|clear|encrypted|localized(?:-?key)?|plaintext|ciphertext|[0-9])$`)
	noUserKey = wordSet("none no noauth nopriv access role group v3 remote")
)

// The community that a trap carries stands behind its version.
var (
	trapCommunity = regexp.MustCompile(`(?i)\bsnmp-server +host .*[ \t]version +v?[12]c? +(?:[0-9] +|encrypted +|clear +)?"?([^"\s]{2,})`)
	noCommunity   = wordSet("udp-port port vrf use-vrf source-interface")
)

// userKeys finds the keys of an SNMPv3 user in whatever tongue it is told:
// "auth sha KEY priv aes 128 KEY".
func userKeys(b []byte, add func(start, end int)) {
	m := snmpUser.FindIndex(b)
	if m == nil {
		return
	}
	expected := false
	eachWord(b, m[1], func(from, to int, word string) {
		switch {
		case userKey.MatchString(word):
			expected = true
		case !expected, userForms.MatchString(word):
		default:
			expected = false
			if !noUserKey[strings.ToLower(word)] && to-from > 1 {
				add(from, to)
			}
		}
	})
}

var (
	association = regexp.MustCompile(`(?i)[ \t]spi[ \t]+(?:0x)?[0-9a-f]+[ \t]`)
	hexKey      = regexp.MustCompile(`^(?:0x)?[0-9A-Fa-f]{8,}$`)
	keyForm     = regexp.MustCompile(`(?i)^(?:[0-9]|clear|encrypted|password[67]?|passphrase|hex-key|ascii-key)$`)
)

// associationKeys finds the keys of an IPsec association that a routing protocol
// sets up by itself: "spi 256 esp aes-cbc 128 KEY sha1 7 KEY".
func associationKeys(b []byte, add func(start, end int)) {
	m := association.FindIndex(b)
	if m == nil {
		return
	}
	before := ""
	eachWord(b, m[1], func(from, to int, word string) {
		if hexKey.MatchString(word) || keyForm.MatchString(before) && !keyForm.MatchString(word) {
			add(from, to)
		}
		before = word
	})
}

// eachWord calls do for the words from at on; of a quoted one what is inside.
func eachWord(b []byte, at int, do func(from, to int, word string)) {
	for at < len(b) {
		if b[at] == ' ' || b[at] == '\t' {
			at++
			continue
		}
		from, to := wordAt(b, at)
		if to > from {
			do(from, to, string(b[from:to]))
		}
		at = max(at, to) + 1
	}
}

// pemAt is the private key that begins at begin in line i. Where its end line is
// missing, all the rest may be key.
func pemAt(text []byte, lines []line, i, begin int) (find, int) {
	e := pemEnd.FindIndex(text[begin:])
	if e == nil {
		return find{span: span{begin, len(text)}, class: classPlaintext}, len(lines) - 1
	}
	end := begin + e[0]
	for i < len(lines)-1 && lines[i].end < end {
		i++
	}
	return find{span: span{begin, end}, class: classPlaintext}, i
}

// keyLine is a line of a key in base64.
var keyLine = regexp.MustCompile(`^[ \t]*[A-Za-z0-9+/=]+[ \t\r]*$`)

// pemBefore is what is left of a private key that ends at end in line i and whose
// beginning is missing. All its lines but the last, and where the text was cut,
// are full.
func pemBefore(text []byte, lines []line, i, end int) find {
	const full = 40
	start := lines[i].start
	for j := i - 1; j >= 0; j-- {
		b := lines[j].of(text)
		if !keyLine.Match(b) || 0 < j && j < i-1 && len(b) < full {
			break
		}
		start = lines[j].start
	}
	return find{span: span{start, end}, class: classPlaintext}
}

// secretWord reports whether the word at b[start:end] announces a secret; b is in
// lower case. Of a
// compound the last part counts: authentication-key does, key-chain and
// password-encryption do not.
func secretWord(b []byte, start, end int) bool {
	word := strings.Trim(string(b[start:end]), "-_.")
	parts := strings.FieldsFunc(word, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	if len(parts) == 0 {
		return false
	}
	for _, p := range parts {
		switch p {
		case "no", "not", "public", "pub", "host", "rsa", "dsa", "dss", "ecdsa", "ed25519", "ecdh", "trusted", "control", "request":
			return false // no-password, public-key, host-key, trusted-key: no secrets
		}
	}
	last := parts[len(parts)-1]
	switch {
	case last == "string" && len(parts) > 1 && parts[len(parts)-2] == "key", last == "material" && len(parts) > 1:
		return true
	case last == "phrase" && len(parts) > 1 && parts[len(parts)-2] == "pass", last == "cak": // of MACsec; the ckn is its name
		return true
	case last == "community" || last == "community6":
		// BGP has communities, too: send-community, community-list, set community.
		return len(parts) == 1 && bytes.Contains(b, []byte("snmp"))
	case last == "key":
		return !bytes.HasSuffix(bytes.TrimRight(b[:start], " "), []byte("tunnel")) // GRE's is a number that both sides see
	case strings.HasPrefix(last, "nopassw"), strings.HasPrefix(last, "nosecret"), last == "keypwd":
		return false
	}
	for _, w := range []string{
		"password", "passwd", "passphrase", "passcode", "pwd", "secret", "psk", "token", "credential", "credentials",
		"rocommunity", "rwcommunity", "rocommunity6", "rwcommunity6",
		"privatekey", "presharedkey", "sharedkey", "apikey", "authkey", "secretkey", "encryptionkey", "masterkey", "privkey", "accesskey",
	} {
		if strings.HasSuffix(last, w) {
			return true
		}
	}
	return false
}

// typeWords may stand between the keyword and its value: how it is written, what
// it is for. They are passed over, but never taken for the value.
var typeWords = wordSet(`encrypted clear clear-text cleartext clear_text plain plaintext plain-text ascii ascii-text hex hexadecimal
	hash hashed cipher ciphertext simple irreversible-cipher text string value enc md5 sha sha1 sha-1 sha224 sha256 sha-256 sha384 sha512 sha-512
	hmac-md5 hmac-sha-1 hmac-sha-256 cmac-aes-128 aes aes128 aes192 aes256 des 3des pbkdf2 scrypt bcrypt 8a
	level auth priv read write ro rw read-only read-write type localized localizedkey encryption-type local remote is inbound outbound ah esp fallback static encrypt secret-encrypted secret-value`)

// notValues follow a keyword where it announces no secret.
var notValues = wordSet(`chain chains key-chain keychain encryption policy generate generation zeroize pubkey-chain config-key authentication authorization
	address hostname host required optional min-length max-length minimum maximum min max length lifetime life-time lifecycle expire expires expiry
	expiration never prompt default enable enabled disable disabled none history recovery reset retry retries attempts strength complexity
	change changed changes check checks group server vrf interface members add delete set replace prefer source version iburst burst minpoll maxpoll
	rsa dsa dss ecdsa ed25519 ssh-rsa ssh-dss ssh-ed25519 exchange exchanges size bits modulus usage label common export exportable import storage name names
	id ids ckn file files in out both extended standard large and or for of to the a an on at by with be been must will was were has have had should
	may can cannot not no are this that these those your our their if when while please needed protected prohibited shared login access user users`)

func wordSet(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// valueAfter finds the value that the keyword at b[start:end] announces.
func valueAfter(b []byte, start, end int) (from, to int, ok bool) {
	i := end
	if i < len(b) && b[i] == '>' { // <password>value</password>
		if j := bytes.IndexByte(b[i+1:], '<'); j > 0 {
			return i + 1, i + 1 + j, true
		}
	}
	if bytes.HasPrefix(b[i:], []byte(`\"`)) {
		i += 2
	} else if i < len(b) && (b[i] == '"' || b[i] == '\'') { // "password": …
		i++
	}
	gap := i
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '=' || b[i] == ':') {
		i++
	}
	if i == gap || i == len(b) {
		return 0, 0, false
	}
	if bytes.HasPrefix(b[i:], []byte(`\"`)) { // JSON in a quoted value
		if j := bytes.Index(b[i+2:], []byte(`\"`)); j > 0 {
			return i + 2, i + 2 + j, true
		}
		return 0, 0, false
	}
	assigned := bytes.ContainsAny(b[gap:i], "=:")
	isKey := strings.HasSuffix(strings.ToLower(string(b[start:end])), "key")
	for {
		from, to = wordAt(b, i)
		if from == to {
			return 0, 0, false
		}
		quoted := from > i
		word := strings.ToLower(string(b[from:to]))
		if quoted {
			return from, to, to-from > 0
		}
		if !assigned && notValues[word] || strings.Trim(word, "{}[]();,|!-*") == "" {
			return 0, 0, false
		}
		rest := to
		for rest < len(b) && (b[rest] == ' ' || b[rest] == '\t') {
			rest++
		}
		if rest < len(b) && rest > to && secretWord([]byte(word), 0, len(word)) {
			return 0, 0, false // "password encryption-key X": that word speaks for itself
		}
		passes := typeWords[word] || digits(word) && (len(word) <= 2 || isKey && len(word) <= 5)
		if !passes {
			return from, to, to-from > 1
		}
		if rest == len(b) || rest == to {
			return 0, 0, false // only a type word is there
		}
		i = rest
	}
}

// wordAt is the word that begins at i: up to the next blank, or what is between
// quotes. One closing mark of the surrounding syntax is left off.
func wordAt(b []byte, i int) (from, to int) {
	if q := b[i]; q == '"' || q == '\'' {
		for j := i + 1; j < len(b); j++ {
			switch {
			case b[j] == '\\' && j+1 < len(b):
				j++
			case b[j] == q:
				return i + 1, j
			}
		}
		return i + 1, len(b) // the quote is not closed: the line was cut
	}
	to = i
	for to < len(b) && b[to] != ' ' && b[to] != '\t' {
		to++
	}
	for to > i+1 && bytes.IndexByte([]byte(`;,"'`), b[to-1]) >= 0 {
		to--
	}
	return i, to
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
