package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, forward only. A database that has a
// schema is copied beside itself first; one that a newer muster made is refused.
func migrate(ctx context.Context, db *sql.DB, path string, steps fs.FS, log *slog.Logger) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, db, steps, goose.WithDisableGlobalRegistry(true), goose.WithSlog(log))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	has, knows, err := p.GetVersions(ctx)
	if err != nil {
		if damage := quickCheck(ctx, db, path); damage != nil {
			return damage
		}
		return fmt.Errorf("read the schema's version of %s: %w", path, err)
	}
	switch {
	case has > knows:
		return refuse(ErrNewerSchema, "%s was made by a newer muster (schema %d, this one knows %d). Install that version again, or restore the copy that it made before its migration", path, has, knows)
	case has == knows:
		return nil
	case has > 0:
		copied := fmt.Sprintf("%s.schema-%05d", path, has)
		if err := backupTo(ctx, db, copied); err != nil {
			return fmt.Errorf("copy the database before its migration: %w", err)
		}
		log.InfoContext(ctx, "database was copied before its migration", "path", copied, "schema", has, "to", knows)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s from schema %d to %d: %w", path, has, knows, err)
	}
	return nil
}

// steps are the migrations that are part of the program.
func steps() fs.FS {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic("store: " + err.Error()) // only for a name that is no path
	}
	return dir
}
