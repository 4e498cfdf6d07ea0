DELETE FROM policies WHERE id = $1
